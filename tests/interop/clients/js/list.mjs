// Lists a bucket with one S3Client of the AWS SDK for JavaScript v3 until standard input ends.
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { setTimeout as sleep } from "node:timers/promises";

const [bucket, pause] = process.argv.slice(2);
const client = new S3Client({});
let ended = false;
process.stdin.on("end", () => (ended = true)).resume();

while (!ended) {
  try {
    await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    console.log("ok");
  } catch (error) {
    console.log(`error ${error.name}: ${error.message}`.replaceAll("\n", " "));
  }
  await sleep(Number(pause) * 1000);
}
