"""Parts of screens: panels with their empty and error states, charts, text strips, selections."""
