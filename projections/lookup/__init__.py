"""The read model behind a merchant's lookup: who a device is linked to."""
