"""`tolerate people`: who may log in at a service's desk, and a new password for somebody who lost theirs."""

import time
from typing import Annotated

import typer


def people(
    database: Annotated[
        str, typer.Option(help="SQLite file of the service, or postgresql://user@host/name.")
    ] = "tolerate.db",
    new_password: Annotated[
        str, typer.Option(metavar="NAME", help="Give this person a new password, printed once.")
    ] = "",
) -> None:
    """List who may log in at the desk of a service, or give one of them a new password.

    Whoever may write the database may do this; the service must not run meanwhile. Every session of that person
    ends, and the ledger keeps that it happened.
    """
    from tolerate.store import DatabaseWriter, open_readonly
    from tolerate.store import people as store_people

    db = open_readonly(database)
    users = store_people.users(db)
    db.close()
    if not new_password:
        for user, enabled in users:
            print(f"{user.name}  {user.role}{'' if enabled else '  (disabled)'}")
        return
    writer = DatabaseWriter(database)
    try:
        password = writer.submit(
            store_people.reset_password, new_password, "the command line", time.time()
        ).result()
    finally:
        writer.close()
    print(f"{new_password}: {password}   (shown this once; every session of theirs has ended)")
