"""What becomes of a run when something goes wrong: kills, full disks, damaged files, faulty inputs."""
