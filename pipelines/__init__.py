"""The hands: recipes, corpus, plan, executors and the command line."""
