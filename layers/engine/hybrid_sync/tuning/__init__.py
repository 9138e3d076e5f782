"""What takes time and money, and what to change about it: measured times, bottlenecks by name, advice with evidence."""
