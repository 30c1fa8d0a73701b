"""Text: read, labelled, deduplicated and split; ``corpus_config`` holds the configs and imports nothing heavy."""
