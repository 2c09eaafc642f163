"""A group of verbs with one that is meant when none is named."""

from __future__ import annotations

import click


class GroupWithDefault(click.Group):
    """Takes ``default`` for the verb where there are no arguments, or options only."""

    default = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the default verb first where none can be there."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        unnamed = not args or (args[0].startswith("-") and args[0] not in own)
        if unnamed and not ctx.resilient_parsing:  # which is completion, where verbs are offered
            args = [self.default, *args]
        return super().parse_args(ctx, args)
