output "agent_yaml" {
  description = "/etc/joinery/agent.yaml."
  value       = yamlencode(local.settings)
}

output "manifests_yaml" {
  description = "EC2NodeClass and NodePool, for kubectl apply."
  value       = "${yamlencode(local.node_class)}---\n${yamlencode(local.node_pool)}"
}
