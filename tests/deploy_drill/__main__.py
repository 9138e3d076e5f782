"""`make deploy-drill`: exit status 0 only if every step did what the README says."""

from __future__ import annotations

import shutil
import sys

from tests.conftest import clear, new_home
from tests.deploy_drill.checkout import Checkout, Failed
from tests.deploy_drill.drill import Drill
from tests.deploy_drill.ground import prepared


def main() -> int:
    place = new_home("deploy")
    try:
        with prepared(place) as ground:
            (place / "checkout").mkdir()
            checkout = Checkout(place / "checkout", ground.aws.endpoint)
            try:
                print(Drill(ground, checkout, lambda line: print(line, flush=True)).run())
            except Failed as failed:
                said = "".join(checkout.log.read_text("utf-8").splitlines(keepends=True)[-40:])
                print(f"{said}DEPLOY failed: {failed}", file=sys.stderr)
                return 1
            return 0
    finally:
        clear(place)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
