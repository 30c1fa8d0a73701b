"""Models that were trained elsewhere: opened as they were saved, by installed code alone, or refused in words."""
