"""One idea per file. Every file here is imported when a backbone is looked up, and registers its classes with ``@backbone(name)``."""
