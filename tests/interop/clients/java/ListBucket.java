import java.io.IOException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.s3.S3Client;

/** Lists a bucket with one client of the AWS SDK for Java v2 until standard input ends. */
public class ListBucket {
  public static void main(String[] arguments) throws IOException, InterruptedException {
    String bucket = arguments[0];
    long pause = (long) (Double.parseDouble(arguments[1]) * 1000);
    Thread end =
        new Thread(
            () -> {
              try {
                System.in.readAllBytes();
              } catch (IOException gone) {
                // the same as its end
              }
            });
    end.setDaemon(true);
    end.start();
    try (S3Client client = S3Client.create()) {
      while (end.isAlive()) {
        try {
          client.listObjectsV2(request -> request.bucket(bucket));
          System.out.println("ok");
        } catch (SdkException error) {
          System.out.println("error " + error.getMessage().replace('\n', ' '));
        }
        Thread.sleep(pause);
      }
    }
  }
}
