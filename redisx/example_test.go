package redisx_test

import (
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/redisx"
)

// One server.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379", DialTimeout: 500 * time.Millisecond})
	defer client.Close()
	b := redisx.New(client, redisx.Options{Namespace: "shop"})
	defer b.Close()
	_ = flow.NewEngine(b, flow.Options{})
}

// A master that three Sentinels watch.
func Example_sentinel() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "main", SentinelAddrs: []string{"s1:26379", "s2:26379", "s3:26379"},
		DialTimeout: 500 * time.Millisecond, ReadTimeout: time.Second, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	b := redisx.New(client, redisx.Options{Namespace: "shop"})
	defer b.Close()
}

// A cluster, over whose nodes sixteen partitions are spread.
func Example_cluster() {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"c1:6379", "c2:6379", "c3:6379"}, ClusterStateReloadInterval: 2 * time.Second,
		DialTimeout: 500 * time.Millisecond, ReadTimeout: time.Second, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	b := redisx.New(client, redisx.Options{Namespace: "shop", Partitions: 16})
	defer b.Close()
}
