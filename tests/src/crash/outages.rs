//! Postgres, SQS and KMS are down, one after the other, in the middle of the load.

use std::sync::Arc;
use std::time::Duration;

use local::sealflow::Sealflow;

use super::aws_proxy::AwsProxy;
use crate::wire::PostgresWire;

const EXECUTIONS: &str = "SELECT count(*) FROM workflow_node_executions";
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// The parts that go down.
pub(super) struct Breakable {
    pub(super) sealflow: Arc<Sealflow>,
    pub(super) wire: Arc<PostgresWire>,
    pub(super) queue: Arc<AwsProxy>,
    pub(super) kms: Arc<AwsProxy>,
}

/// At a quarter, a half and three quarters of so many executions each goes down for so long.
pub(super) fn drive(
    parts: Breakable,
    executions_min: usize,
    length: Duration,
) -> impl Future<Output = ()> + Send + 'static {
    let Breakable { sealflow, wire, queue, kms } = parts;
    async move {
        await_executions(&sealflow, executions_min / 4).await;
        wire.go_down();
        tokio::time::sleep(length).await;
        wire.come_up();

        await_executions(&sealflow, executions_min / 2).await;
        queue.set_down(true);
        sealflow.nodes_mapping().pause();
        sealflow.executions_mapping().pause();
        tokio::time::sleep(length).await;
        queue.set_down(false);
        sealflow.nodes_mapping().resume();
        sealflow.executions_mapping().resume();

        await_executions(&sealflow, executions_min * 3 / 4).await;
        kms.set_down(true);
        tokio::time::sleep(length).await;
        kms.set_down(false);
    }
}

async fn await_executions(sealflow: &Sealflow, count: usize) {
    let made = async || {
        let made = sealflow.sql(EXECUTIONS).await.expect("the executions are counted");
        made.parse::<usize>().expect("a number")
    };
    while made().await < count {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
