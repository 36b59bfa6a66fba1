"""The read models of the trail: events (`audit`) and access records (`access`), of one shape."""
