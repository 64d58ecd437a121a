"""The vocabulary: values and rules, no IO."""
