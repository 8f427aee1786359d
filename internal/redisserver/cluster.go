package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// Cluster is a Redis Cluster. Its methods may be called concurrently.
type Cluster struct {
	// Nodes are the processes: first those that began as masters, then the replicas of the first, and so on.
	Nodes []*Server
	// Pace is how long MigrateSlot waits between two keys. 0: it moves ten at once, as redis-cli does.
	Pace time.Duration
}

// StartCluster starts a cluster whose masters share the slots evenly, and returns when every node says that it works and every replica
// follows its master. A master that is silent for a second is replaced by one of its replicas.
func StartCluster(ctx context.Context, masters, replicasPerMaster int, opts Options) (*Cluster, error) {
	if opts.Dir != "" {
		return nil, errors.New("redisserver: start a cluster: Options.Dir is set, but every node needs a directory of its own")
	}
	c := &Cluster{}
	settings := []string{"cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0"}
	for range masters * (1 + replicasPerMaster) {
		node, err := launch(ctx, &Server{opts: opts, settings: settings})
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Nodes = append(c.Nodes, node)
	}
	if err := c.form(ctx, masters, replicasPerMaster); err != nil {
		return nil, errors.Join(fmt.Errorf("redisserver: make a cluster of %v: %w", c.Addrs(), err), c.Close())
	}
	return c, nil
}

func (c *Cluster) form(ctx context.Context, masters, replicas int) error {
	for i, node := range c.Nodes {
		if err := c.introduce(ctx, node, i, masters); err != nil {
			return err
		}
	}
	if err := c.all(ctx, "cluster_known_nodes", fmt.Sprint(len(c.Nodes))); err != nil {
		return err
	}
	for i, node := range c.Nodes[masters:] {
		if err := c.follow(ctx, node, c.Nodes[i/replicas]); err != nil {
			return err
		}
	}
	if err := c.Ready(ctx); err != nil {
		return err
	}
	for _, node := range c.Nodes[masters:] {
		if err := node.Linked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// introduce gives the node at i its slots and lets it meet the first node.
func (c *Cluster) introduce(ctx context.Context, node *Server, i, masters int) error {
	host, port, err := net.SplitHostPort(c.Nodes[0].Addr)
	if err != nil {
		return err
	}
	return node.with(func(client *redis.Client) error {
		if err := client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return fmt.Errorf("set the epoch of %s: %w", node.Addr, err)
		}
		if i < masters {
			if err := client.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
				return fmt.Errorf("give slots to %s: %w", node.Addr, err)
			}
		}
		if i == 0 {
			return nil
		}
		return client.ClusterMeet(ctx, host, port).Err()
	})
}

// follow makes node a replica of master as soon as it knows it.
func (c *Cluster) follow(ctx context.Context, node, master *Server) error {
	id, err := master.nodeID(ctx)
	if err != nil {
		return err
	}
	return node.with(func(client *redis.Client) error {
		return until(ctx, node.process.ended(), func() error { return client.ClusterReplicate(ctx, id).Err() })
	})
}

func (s *Server) nodeID(ctx context.Context) (id string, err error) {
	err = s.with(func(client *redis.Client) (err error) {
		id, err = client.ClusterMyID(ctx).Result()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask %s for its name in the cluster: %w", s.Addr, err)
	}
	return id, nil
}

// Ready waits until every node that runs says that all slots are served.
func (c *Cluster) Ready(ctx context.Context) error { return c.all(ctx, "cluster_state", "ok") }

// all waits until every node that runs has a field of CLUSTER INFO at want.
func (c *Cluster) all(ctx context.Context, field, want string) error {
	for _, node := range c.Nodes {
		if !node.Running() {
			continue
		}
		err := node.with(func(client *redis.Client) error {
			return until(ctx, node.process.ended(), func() error {
				text, err := client.ClusterInfo(ctx).Result()
				if err != nil {
					return err
				}
				if value, _ := fieldOf(text, field); value != want {
					return fmt.Errorf("%s is %s, not %s", field, value, want)
				}
				return nil
			})
		})
		if err != nil {
			return fmt.Errorf("wait for %s: %w\nits log:\n%s", node.Addr, err, node.Log())
		}
	}
	return nil
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() []string { return addrsOf(c.Nodes) }

// ClientOptions are those for a client of the cluster.
func (c *Cluster) ClientOptions() *redis.ClusterOptions {
	one := c.Nodes[0].ClientOptions()
	return &redis.ClusterOptions{
		Addrs: c.Addrs(), Password: one.Password, TLSConfig: one.TLSConfig,
		DialTimeout: one.DialTimeout, DisableIdentity: true, Protocol: one.Protocol,
	}
}

// MasterOf is the node that serves key now.
func (c *Cluster) MasterOf(ctx context.Context, key string) (*Server, error) {
	slot, err := c.SlotOf(ctx, key)
	if err != nil {
		return nil, err
	}
	return c.ownerOf(ctx, slot)
}

// SlotOf is the slot of key.
func (c *Cluster) SlotOf(ctx context.Context, key string) (slot int, err error) {
	err = c.ask(func(client *redis.Client) error {
		n, err := client.ClusterKeySlot(ctx, key).Result()
		slot = int(n)
		return err
	})
	return slot, err
}

func (c *Cluster) ownerOf(ctx context.Context, slot int) (*Server, error) {
	var owner *Server
	err := c.ask(func(client *redis.Client) (err error) {
		owner, err = c.namedBy(ctx, client, slot)
		return err
	})
	if err == nil && owner == nil {
		err = fmt.Errorf("redisserver: no node of %v serves slot %d", c.Addrs(), slot)
	}
	return owner, err
}

func serves(shard redis.ClusterShard, slot int) bool {
	return slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool { return r.Start <= int64(slot) && int64(slot) <= r.End })
}

func (c *Cluster) masterIn(shard redis.ClusterShard) *Server {
	for _, node := range shard.Nodes {
		if node.Role == "master" {
			return c.node(address(int(max(node.Port, node.TLSPort)))) // one of the two is 0
		}
	}
	return nil
}

// node finds a node by its address.
func (c *Cluster) node(addr string) *Server {
	for _, node := range c.Nodes {
		if node.Addr == addr {
			return node
		}
	}
	return nil
}

// ask asks the nodes that run, one after the other, until one answers.
func (c *Cluster) ask(f func(*redis.Client) error) error {
	errs := []error{fmt.Errorf("redisserver: no node of the cluster %v answers", c.Addrs())}
	for _, node := range c.Nodes {
		if !node.Running() {
			continue
		}
		err := node.with(f)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ReplicasOf are the nodes that follow master now and run.
func (c *Cluster) ReplicasOf(ctx context.Context, master *Server) ([]*Server, error) {
	id, err := master.nodeID(ctx)
	if err != nil {
		return nil, fmt.Errorf("redisserver: find the replicas of %s: %w", master.Addr, err)
	}
	var replicas []*Server
	err = c.ask(func(client *redis.Client) error {
		lines, err := client.Do(ctx, "CLUSTER", "REPLICAS", id).StringSlice()
		for _, line := range lines {
			addr, _, _ := strings.Cut(strings.Fields(line)[1], "@")
			if node := c.node(addr); node != nil && node.Running() {
				replicas = append(replicas, node)
			}
		}
		return err
	})
	return replicas, err
}

// Failover makes a replica the master of its slots, in agreement with its master, and returns when it is.
func (c *Cluster) Failover(ctx context.Context, replica *Server) error {
	err := replica.with(func(client *redis.Client) error {
		if err := client.ClusterFailover(ctx).Err(); err != nil {
			return err
		}
		return until(ctx, replica.process.ended(), func() error {
			role, err := info(ctx, client, "replication", "role")
			if err == nil && role != "master" {
				err = errors.New("it is a " + role)
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("redisserver: make the replica %s a master: %w", replica.Addr, err)
	}
	return nil
}

// Agreed returns the node that serves a slot, when all nodes that run name the same. A slot that moves while they do not, and while one of
// them is promoted, may end with nobody, or lose its keys.
func (c *Cluster) Agreed(ctx context.Context, slot int) (owner *Server, err error) {
	err = until(ctx, nil, func() (err error) {
		if owner, err = c.ownerOf(ctx, slot); err != nil {
			return err
		}
		for _, node := range c.Nodes {
			if !node.Running() {
				continue
			}
			err := node.with(func(client *redis.Client) error {
				named, err := c.namedBy(ctx, client, slot)
				if err == nil && named != owner {
					err = fmt.Errorf("redisserver: %s has another owner of slot %d than %s", node.Addr, slot, owner.Addr)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return owner, err
}

// namedBy is who serves a slot, as one node has it; nil if it knows nobody.
func (c *Cluster) namedBy(ctx context.Context, client *redis.Client, slot int) (owner *Server, err error) {
	shards, err := client.ClusterShards(ctx).Result()
	for _, shard := range shards {
		if serves(shard, slot) {
			owner = c.masterIn(shard)
		}
	}
	return owner, err
}

// MigrateSlot moves a slot with all its keys to another master, while clients use them. It begins when all nodes know who has the slot, and
// returns when all know who has it then.
func (c *Cluster) MigrateSlot(ctx context.Context, slot int, to *Server) error {
	from, err := c.Agreed(ctx, slot)
	if err != nil {
		return err
	}
	if from == to {
		return nil
	}
	if err := c.migrate(ctx, slot, from, to); err != nil {
		return fmt.Errorf("redisserver: move slot %d from %s to %s: %w", slot, from.Addr, to.Addr, err)
	}
	_, err = c.Agreed(ctx, slot)
	return err
}

func (c *Cluster) migrate(ctx context.Context, slot int, from, to *Server) error {
	fromID, err := from.nodeID(ctx)
	if err != nil {
		return err
	}
	toID, err := to.nodeID(ctx)
	if err != nil {
		return err
	}
	if err := to.setSlot(ctx, slot, "IMPORTING", fromID); err != nil {
		return err
	}
	if err := from.setSlot(ctx, slot, "MIGRATING", toID); err != nil {
		return err
	}
	if err := c.moveKeys(ctx, slot, from, to); err != nil {
		return err
	}
	// The new owner first: were it told last and lost meanwhile, nobody would serve the slot.
	for _, node := range []*Server{to, from} {
		if err := node.setSlot(ctx, slot, "NODE", toID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) setSlot(ctx context.Context, slot int, state, id string) error {
	err := s.with(func(client *redis.Client) error { return client.Do(ctx, "CLUSTER", "SETSLOT", slot, state, id).Err() })
	if err != nil {
		return fmt.Errorf("set it to %s on %s: %w", state, s.Addr, err)
	}
	return nil
}

// moveKeys sends the keys of a slot to another node until there are none.
func (c *Cluster) moveKeys(ctx context.Context, slot int, from, to *Server) error {
	atOnce := 10
	if c.Pace > 0 {
		atOnce = 1
	}
	return from.with(func(client *redis.Client) error {
		for {
			keys, err := client.ClusterGetKeysInSlot(ctx, slot, atOnce).Result()
			if err != nil || len(keys) == 0 {
				return err
			}
			if err := client.Do(ctx, migrateCommand(to, keys)...).Err(); err != nil {
				return fmt.Errorf("move %q: %w", keys, err)
			}
			select {
			case <-time.After(c.Pace):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

func migrateCommand(to *Server, keys []string) []any {
	host, port, _ := net.SplitHostPort(to.Addr)
	args := []any{"MIGRATE", host, port, "", 0, 5000}
	if to.opts.Password != "" {
		args = append(args, "AUTH", to.opts.Password)
	}
	args = append(args, "REPLACE", "KEYS") // one that was interrupted may have left a copy there
	for _, key := range keys {
		args = append(args, key)
	}
	return args
}

// Close kills all nodes. It may be called twice.
func (c *Cluster) Close() error { return closeAll(c.Nodes) }
