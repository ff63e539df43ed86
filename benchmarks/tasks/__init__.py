"""The tasks: data sources become claims and, apart from them, golden labels; nothing else writes golden labels."""
