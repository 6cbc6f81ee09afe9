"""Estimate how many dimensions vectors need, by rules of thumb and by measuring what each reduction keeps."""
