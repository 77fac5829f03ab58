"""A workflow that a webhook starts, and that calls the target with a secret."""

import hashlib
import hmac
import json
import urllib.parse

from expectations import expect, wait_until

RUN_SECONDS_MAX = 20

DEFINITION = """
name: deploy-check
nodes:
  - id: push
    name: Push
    trigger: webhook
    configuration: {{ authentication: signature }}
  - id: call
    name: Call
    component: http
    configuration:
      method: POST
      url: http://127.0.0.1:{port}/
      headers: [{{ name: Authorization, value: 'Bearer {{{{ secrets("target").token }}}}' }}]
      body: {{ json: {{ number: '{{{{ root().data.body.number }}}}' }} }}
  - id: ok
    name: OK
    component: if
    configuration: {{ expression: '$["Call"].data.status == 200' }}
edges:
  - {{ from: push, to: call }}
  - {{ from: call, channel: success, to: ok }}
"""


class Workflow:
    """The workflow, applied."""

    def __init__(self, api, target):
        self.api, self.target = api, target
        answer = api.call("PUT", "/v1/workflows", DEFINITION.format(port=target.port).encode(), "application/yaml")
        self.path = urllib.parse.urlsplit(answer["webhooks"][0]["url"]).path
        self.signing_key = answer["webhooks"][0]["signing_key"]

    def deliver(self, number, meanwhile):
        """Posts to the webhook, and waits until its run has passed and the target has had the request.

        `meanwhile` is called again and again, and may end the waiting by failing.
        """
        body = json.dumps({"number": number}).encode()
        signature = hmac.new(self.signing_key.encode(), body, hashlib.sha256).hexdigest()
        answer = self.api.call("POST", self.path, body, token="", **{"X-Hub-Signature-256": f"sha256={signature}"})

        def ended():
            meanwhile()
            found = self.api.call("GET", f"/v1/runs/{answer['run_id']}")
            return found if found["run"]["state"] != "running" else None

        found = wait_until("the run ends", RUN_SECONDS_MAX, ended)
        results = [(each["result"], each["result_reason"], each["result_message"]) for each in found["executions"]]
        is_right = found["run"]["result"] == "passed" and [result for result, _, _ in results] == ["passed", "passed"]
        expect(is_right, f"the run is {found['run']['result']}, and its executions are {results}")
        expect(self.target.bodies[-1:] == [{"number": number}], f"the target had {self.target.bodies[-1:]}")
