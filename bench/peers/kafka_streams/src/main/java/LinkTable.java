import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.management.ManagementFactory;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

/** Who each device is linked to, in a store of Kafka Streams: BROKERS TOPIC EVENTS FOLDER. */
public final class LinkTable {
    private static final String STORE = "links";
    private static final String LINKED = "device.linked.v1";
    private static final Set<String> ENDINGS =
            Set.of("device.unlinked.v1", "device.deactivated.v1", "device.erased.v1");
    private static final String[] KEPT = {
        "bankId", "customerId", "userId", "registrationId", "keyGeneration",
        "sealedDeviceId", "sealedPhrase", "linkedAt"
    };
    private static final AtomicLong SEEN = new AtomicLong();
    private static final CountDownLatch ALL = new CountDownLatch(1);
    private static volatile long expected;
    private static volatile long begun;
    private static volatile long cpuBegun;
    private static volatile long ended;
    private static volatile long cpuEnded;

    /** Folds each event into the row of its device. */
    private static final class Fold extends ContextualProcessor<String, byte[], Void, Void> {
        private final ObjectMapper json = new ObjectMapper();
        private KeyValueStore<String, byte[]> links;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            super.init(context);
            links = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, byte[]> record) {
            tick();
            try {
                JsonNode event = json.readTree(record.value());
                String type = event.get("type").textValue();
                if (type.equals(LINKED)) {
                    ObjectNode row = json.createObjectNode();
                    for (String field : KEPT) {
                        row.set(field, event.get("data").get(field));
                    }
                    links.put(record.key(), json.writeValueAsBytes(row));
                } else if (ENDINGS.contains(type)) {
                    byte[] found = links.get(record.key());
                    if (found != null && isOf(json.readTree(found), event.get("data"))) {
                        links.delete(record.key());
                    }
                }
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
            tock();
        }

        private static boolean isOf(JsonNode row, JsonNode data) {
            return row.get("bankId").equals(data.get("bankId"))
                    && row.get("userId").equals(data.get("userId"));
        }
    }

    private static void tick() {
        if (SEEN.get() == 0 && begun == 0) {
            begun = System.nanoTime();
            cpuBegun = cpu();
        }
    }

    private static void tock() {
        if (SEEN.incrementAndGet() == expected) {
            ended = System.nanoTime();
            cpuEnded = cpu();
            ALL.countDown();
        }
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean)
                        ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    public static void main(String[] arguments) throws InterruptedException {
        expected = Long.parseLong(arguments[2]);
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(
                Stores.keyValueStoreBuilder(
                                Stores.persistentKeyValueStore(STORE),
                                Serdes.String(),
                                Serdes.ByteArray())
                        .withCachingEnabled());
        builder.stream(arguments[1], Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(Fold::new, STORE);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings(arguments));
        streams.start();
        ALL.await();
        long linked = settledCount(streams);
        streams.close();
        System.out.printf(
                "{\"events\": %d, \"seconds\": %.3f, \"cpu\": %.3f, \"linked\": %d}%n",
                SEEN.get(), (ended - begun) / 1e9, (cpuEnded - cpuBegun) / 1e9, linked);
    }

    /** A commit flushes the cache into the store, and who counts meanwhile may see neither's deletes. */
    private static long settledCount(KafkaStreams streams) {
        long before = -1;
        long linked = count(streams);
        while (linked != before) {
            before = linked;
            linked = count(streams);
        }
        return linked;
    }

    private static long count(KafkaStreams streams) {
        long linked = 0;
        try (KeyValueIterator<String, byte[]> rows =
                streams.store(
                                StoreQueryParameters.fromNameAndType(
                                        STORE, QueryableStoreTypes.<String, byte[]>keyValueStore()))
                        .all()) {
            while (rows.hasNext()) {
                rows.next();
                linked++;
            }
        }
        return linked;
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + System.nanoTime());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        // Kinder than the defaults of 100 ms and 10 MB: a rebuild need not be fresh.
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 5000);
        settings.put(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, 8 << 20);
        return settings;
    }
}
