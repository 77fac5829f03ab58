-- How many deliveries each webhook took and refused, and why: a sender's owner and a workflow's
-- author are often two people, and only one of them sees the answers.
CREATE TABLE webhook_deliveries (
    webhook_id uuid PRIMARY KEY REFERENCES webhooks (id),
    accepted bigint NOT NULL,
    refused jsonb NOT NULL,
    refused_last_at timestamptz,
    refused_last_reason text,
    updated_at timestamptz NOT NULL,
    CONSTRAINT webhook_deliveries_is_whole CHECK (
        accepted >= 0 AND jsonb_typeof(refused) = 'object'
        AND (refused_last_at IS NULL) = (refused_last_reason IS NULL))
);
COMMENT ON TABLE webhook_deliveries IS
    'Counts of deliveries. Each instance of the webhook function adds what it counted, at most once a minute.';
COMMENT ON COLUMN webhook_deliveries.webhook_id IS 'The webhook.';
COMMENT ON COLUMN webhook_deliveries.accepted IS 'Deliveries that were taken, repeated ones too.';
COMMENT ON COLUMN webhook_deliveries.refused IS 'Deliveries that were refused: a number for each reason.';
COMMENT ON COLUMN webhook_deliveries.refused_last_at IS 'When one was refused last.';
COMMENT ON COLUMN webhook_deliveries.refused_last_reason IS 'Why that was.';
COMMENT ON COLUMN webhook_deliveries.updated_at IS 'When an instance last added what it counted.';
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries TO sealflow_webhook;
GRANT SELECT ON webhook_deliveries TO sealflow_api;

UPDATE schema_facts SET version = 54;
