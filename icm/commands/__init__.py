"""What each command of the command line asks for, and how it calls its stages. Knows directories, computes nothing."""
