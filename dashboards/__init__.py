"""The window: Streamlit screens over finished and running comparisons."""
