//! The Lambda functions.

use crate::words::words;

words! {
    /// A Lambda function.
    pub enum Function {
        /// The API.
        Api = "api",
        /// Accepts webhook deliveries.
        Webhook = "webhook",
        /// Makes executions from queue items.
        Builder = "builder",
        /// Runs executions.
        Executor = "executor",
        /// Sends undelivered work again.
        Sweeper = "sweeper",
        /// Runs the migrations of the schema.
        Migrate = "migrate",
        /// Moves secrets to another KMS key.
        Rewrap = "rewrap",
    }
}
