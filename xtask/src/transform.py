"""Expands a SAM template as CloudFormation would, without AWS: argument 1 is the template, 2 the result as JSON."""

import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoPolicies:
    """Managed policies are named by ARN in our template, so none needs a look-up."""

    def load(self):
        return {}


def upload(resource):
    """`sam package` would upload the code and write its address."""
    properties = resource.get("Properties", {})
    if isinstance(properties.get("CodeUri"), str):
        properties["CodeUri"] = "s3://bucket/key"


with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file)
uploads = [template.get("Globals", {}).get("Function", {})]
if isinstance(uploads[0].get("CodeUri"), str):
    uploads[0]["CodeUri"] = "s3://bucket/key"
for resource in template["Resources"].values():
    upload(resource)
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(transform(template, {}, NoPolicies()), file, indent=1)
