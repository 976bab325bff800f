"""Makes what is into what should be: one loop for each kind. Seat of kube-controller-manager.

How a controller is added: write one file with one class, a `Controller` that names itself, follows the collections
it looks at, and has a `sync(key)`; then add the class to CONTROLLERS in `table.py`. Keep the decision (what is, and
what should be, to what is to be done) in pure functions, and the requests in the class. `sync` has to be fit to be
called at any time, twice, and after a crash between any two of its requests.
"""
