"""The read models' worker as a process, on a real Kafka."""
