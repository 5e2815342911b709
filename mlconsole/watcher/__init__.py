"""The process that watches for triggers, and sets releases off."""
