"""Features put into words by a language model behind an endpoint that a person names, and what the words are worth."""
