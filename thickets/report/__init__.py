"""What people see: tables on the console, figures, and one page for a run."""
