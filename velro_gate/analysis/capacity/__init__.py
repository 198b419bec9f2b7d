"""How much load a service carries: the search for it, its estimate, and the law of scalability fitted to what was measured."""
