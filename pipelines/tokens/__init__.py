"""Tokenizer, contexts and evaluation rows; ``tokenizer_config`` holds the configs and imports nothing heavy."""
