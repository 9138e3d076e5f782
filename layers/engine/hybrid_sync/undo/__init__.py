"""Taking back what a run wrote, where its rows still are what it left."""
