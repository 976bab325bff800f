"""The client's side of the wire: requests, a cache that follows a collection, events. Seat of client-go."""
