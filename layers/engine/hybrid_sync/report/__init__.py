"""What a run did, in numbers and words: summary, money, rendering, notification."""
