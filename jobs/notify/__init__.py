"""From a verdict to a card, and from a card to a channel."""
