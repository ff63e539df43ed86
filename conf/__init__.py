"""Default settings, composed by Hydra; `icm.config` says what each key may be."""
