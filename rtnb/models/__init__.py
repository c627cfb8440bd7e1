"""Models, voices, prices, limits and servers as dated data; the names are those that the two files list."""

from rtnb.models import catalogue, servers
from rtnb.models.catalogue import *  # noqa: F403
from rtnb.models.servers import *  # noqa: F403

__all__ = [*catalogue.__all__, *servers.__all__]
