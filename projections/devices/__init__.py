"""The read model behind a user's list of devices: every registration, ended ones too."""
