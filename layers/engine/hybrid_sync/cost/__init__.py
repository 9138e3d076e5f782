"""What the deployment uses of AWS, and what that costs by list prices."""
