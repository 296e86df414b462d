"""What to offer each user next: candidates from several sources, one ranking model, reasons in words."""
