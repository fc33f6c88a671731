"""How the vectors were made, one subject a file; nothing of vitalwire is imported in here."""
