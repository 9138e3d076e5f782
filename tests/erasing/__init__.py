"""People are erased while runs, retries and rollbacks are at work and the target is restored: nobody comes back."""
