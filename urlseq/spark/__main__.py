"""`python -m urlseq.spark` fetches the jars for S3, so that sessions start without a network from then on."""

import sys

from urlseq.errors import UrlseqError
from urlseq.spark import s3_jars

try:
    print(f"Spark's S3 jars are in {s3_jars()}")
except UrlseqError as error:
    sys.exit(str(error))
