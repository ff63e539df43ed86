"""Files of a run: rows, manifests, stage directories, label files. Knows no stage."""
