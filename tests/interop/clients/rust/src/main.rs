//! Lists a bucket with one client of the AWS SDK for Rust until standard input ends.
use std::time::Duration;

use aws_sdk_s3::error::DisplayErrorContext;
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let pause = Duration::from_secs_f64(arguments[2].parse().expect("seconds between two requests"));
    let http = aws_smithy_http_client::Builder::new().build_http();
    let settings = aws_config::from_env().http_client(http).load().await;
    let client = aws_sdk_s3::Client::new(&settings);
    let ended = tokio::spawn(async {
        let mut nothing = Vec::new();
        tokio::io::stdin().read_to_end(&mut nothing).await
    });
    while !ended.is_finished() {
        match client.list_objects_v2().bucket(&arguments[1]).send().await {
            Ok(_) => println!("ok"),
            Err(error) => println!("error {}", DisplayErrorContext(&error).to_string().replace('\n', " ")),
        }
        tokio::time::sleep(pause).await;
    }
}
