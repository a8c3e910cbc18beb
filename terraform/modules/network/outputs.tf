output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "subnet_ids" {
  description = "Subnets of the machines, in the order of the zones."
  value       = local.subnet_ids

  # Machines refer to this output, and need their way out and their rules from the first moment.
  depends_on = [
    aws_route_table_association.private,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.out,
    aws_vpc_security_group_ingress_rule.within,
    aws_vpc_security_group_ingress_rule.control_plane_to_nodes,
    aws_vpc_security_group_ingress_rule.nodes_to_control_plane,
  ]
}

output "first_address" {
  description = "An address that a single control-plane machine may have; null in an existing network."
  value       = local.made ? cidrhost(local.private_cidrs[var.zones[0]], 10) : null
}

output "nodes_security_group_id" {
  description = "Security group of all workers, Joinery's too."
  value       = aws_security_group.nodes.id
}

output "control_plane_security_group_id" {
  description = "Security group of the control plane and its load balancer."
  value       = aws_security_group.control_plane.id
}

output "discovery_tag" {
  description = "Value of karpenter.sh/discovery on subnets and the workers' security group."
  value       = values(local.discovery)[0]
}
