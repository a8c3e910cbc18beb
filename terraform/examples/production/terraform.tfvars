# A small team's cluster: 18 fixed nodes. Each domain has its own, tainted, so that nothing else runs there; the two
# workers are open to all.
region             = "ap-northeast-2"
cluster            = "team"
kubernetes_version = "1.35.3"
zones              = ["ap-northeast-2a", "ap-northeast-2c"]

# One, as the team has it. Three, behind a load balancer, survive the loss of one.
control_plane_machines = 1

wheel        = "https://example.com/joinery_agent-0.1.0-py3-none-any.whl"
wheel_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"

base_workers = {
  auth      = { instance_type = "t3.small", labels = { domain = "auth" }, taints = ["domain=auth:NoSchedule"] }
  my        = { instance_type = "t3.small", labels = { domain = "my" }, taints = ["domain=my:NoSchedule"] }
  scan      = { instance_type = "t3.small", labels = { domain = "scan" }, taints = ["domain=scan:NoSchedule"] }
  character = { instance_type = "t3.small", labels = { domain = "character" }, taints = ["domain=character:NoSchedule"] }
  location  = { instance_type = "t3.small", labels = { domain = "location" }, taints = ["domain=location:NoSchedule"] }
  image     = { instance_type = "t3.medium", labels = { domain = "image" }, taints = ["domain=image:NoSchedule"] }
  chat      = { instance_type = "t3.medium", labels = { domain = "chat" }, taints = ["domain=chat:NoSchedule"] }

  worker-ai      = { instance_type = "t3.medium", labels = { role = "worker" } }
  worker-storage = { instance_type = "t3.medium", labels = { role = "worker" } }

  postgresql = { instance_type = "t3.medium", labels = { domain = "postgresql" }, taints = ["domain=postgresql:NoSchedule"] }
  redis      = { instance_type = "t3.medium", machines = 3, labels = { domain = "redis" }, taints = ["domain=redis:NoSchedule"] }
  rabbitmq   = { instance_type = "t3.medium", labels = { domain = "rabbitmq" }, taints = ["domain=rabbitmq:NoSchedule"] }
  monitoring = { instance_type = "t3.medium", labels = { domain = "monitoring" }, taints = ["domain=monitoring:NoSchedule"] }
  logging    = { instance_type = "t3.medium", labels = { domain = "logging" }, taints = ["domain=logging:NoSchedule"] }
  ingress    = { instance_type = "t3.medium", labels = { domain = "ingress" }, taints = ["domain=ingress:NoSchedule"] }
}
