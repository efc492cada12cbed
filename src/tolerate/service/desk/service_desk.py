"""The desk of a running service, with all its pages."""

from tolerate.service.desk import account, admin, imports, review, watching
from tolerate.service.desk.app import ServiceDesk
from tolerate.service.host import ServiceHost


def service_desk(running: ServiceHost) -> ServiceDesk:
    """The desk of a running service."""
    desk = ServiceDesk(running)
    desk.register(review.PAGES)
    desk.register(account.PAGES)
    desk.register(account.PASSWORD_PAGES)
    desk.register(watching.PAGES)
    desk.register(admin.PAGES)
    desk.register(admin.EXPORT_PAGES)
    desk.register(imports.PAGES)
    return desk
