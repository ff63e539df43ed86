"""`icm arms`: the same trainings on other labels, arm by arm. Reads golden labels; no search may."""
