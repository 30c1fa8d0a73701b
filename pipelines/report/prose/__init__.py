"""The text of a report: methods, limitations, checklist and references, each number a macro."""
